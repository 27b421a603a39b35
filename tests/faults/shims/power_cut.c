// Remembers what of a folder a power cut would leave: no more than POSIX promises. What is in a file
// when it is synced is durable; so are the names in a folder when the folder is synced, and both for
// everything at a syncfs. Anything else is not, however long ago it was written.
//
// GROVE_SHIM_SHADOW is where that is kept: files/KEY is the durable content of the file with that key
// (inode and time of birth), folders/KEY the durable names of a folder, a line each: f or d, key, name.
// The tests' harness/power_cut.py makes of it what a machine would find after the cut. What is there at
// a start without a shadow is durable: it came from the disk.
//
// GROVE_SHIM_LIES makes a disk that lies about what it has done: "all", "files" or "folders" (but not at a
// syncfs: what was there at the start stays).
// GROVE_SHIM_SYNC_US is how long a sync takes at most, so that there is something to cut into.
// A sync of what is under the root does not reach the real disk: nobody pulls its plug.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include "under_root.h"

enum { key_bytes = 64 };

// One disk does one thing after the other; and what is remembered must not overtake what is newer.
static pthread_mutex_t disk = PTHREAD_MUTEX_INITIALIZER;
static char shadow[PATH_MAX / 2];
static char const *lies = "";
static unsigned sync_us;
static unsigned counter;

static int lies_about(char const *what) {
  return strcmp(lies, "all") == 0 || strcmp(lies, what) == 0;
}

static int key_of(int folder, char const *name, char key[key_bytes], struct statx *status) {
  int flags = AT_SYMLINK_NOFOLLOW | (name[0] == '\0' ? AT_EMPTY_PATH : 0);
  if (statx(folder, name, flags, STATX_BASIC_STATS | STATX_BTIME, status) != 0) return 0;
  snprintf(key, key_bytes, "%llu-%lld-%u", (unsigned long long)status->stx_ino,
           (long long)status->stx_btime.tv_sec, status->stx_btime.tv_nsec);
  return 1;
}

static FILE *begin_note(char path[PATH_MAX]) {
  snprintf(path, PATH_MAX, "%s/note.%u", shadow, counter++);
  FILE *note = fopen(path, "we");
  if (note == NULL) abort();
  return note;
}

// From here on it is durable.
static void end_note(FILE *note, char const *path, char const *kind, char const *key) {
  char final[PATH_MAX];
  snprintf(final, sizeof final, "%s/%s/%s", shadow, kind, key);
  if (fclose(note) != 0 || rename(path, final) != 0) abort();
}

static void keep_file(int fd) {
  struct statx status;
  char key[key_bytes], link[64], path[PATH_MAX];
  if (!key_of(fd, "", key, &status)) return;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  int from = open(link, O_RDONLY | O_CLOEXEC);
  if (from < 0) return;  // gone meanwhile: nothing to remember
  FILE *note = begin_note(path);
  static char piece[1 << 16];
  for (ssize_t count; (count = read(from, piece, sizeof piece)) > 0;) {
    if (fwrite(piece, 1, (size_t)count, note) != (size_t)count) abort();
  }
  fflush(note);
  struct timespec times[2] = {{0, UTIME_OMIT},
                              {status.stx_mtime.tv_sec, status.stx_mtime.tv_nsec}};
  futimens(fileno(note), times);
  if (sync_us > 0) usleep((unsigned)rand() % sync_us);
  end_note(note, path, "files", key);
  close(from);
}

// Its names; of a whole tree, what they name too.
static void keep_folder(int fd, int is_whole_tree);

static void keep_entry(int folder, char const *name, int is_folder) {
  int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return;
  if (is_folder) {
    keep_folder(fd, 1);
  } else {
    keep_file(fd);
  }
  close(fd);
}

static int is_kept_already(char const *key, struct statx const *status) {
  char path[PATH_MAX];
  struct stat kept;
  snprintf(path, sizeof path, "%s/files/%s", shadow, key);
  return stat(path, &kept) == 0 && (unsigned long long)kept.st_size == status->stx_size &&
         kept.st_mtim.tv_sec == status->stx_mtime.tv_sec &&
         kept.st_mtim.tv_nsec == status->stx_mtime.tv_nsec;
}

static void keep_folder(int fd, int is_whole_tree) {
  struct statx status;
  char key[key_bytes], path[PATH_MAX];
  if (!key_of(fd, "", key, &status)) return;
  DIR *entries = fdopendir(openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (entries == NULL) return;
  FILE *note = begin_note(path);
  for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    char name_key[key_bytes];
    if (!key_of(dirfd(entries), entry->d_name, name_key, &status)) continue;
    int is_folder = S_ISDIR(status.stx_mode);
    if (!is_folder && !S_ISREG(status.stx_mode)) continue;
    fprintf(note, "%c %s %s\n", is_folder ? 'd' : 'f', name_key, entry->d_name);
    if (!is_whole_tree || (!is_folder && is_kept_already(name_key, &status))) continue;
    keep_entry(dirfd(entries), entry->d_name, is_folder);
  }
  if (!is_whole_tree && sync_us > 0) {
    fflush(note);
    usleep((unsigned)rand() % sync_us);
  }
  end_note(note, path, "folders", key);
  closedir(entries);
}

static void keep_all(void) {
  int fd = open(shim_root(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  keep_folder(fd, 1);
  close(fd);
}

__attribute__((constructor)) static void begin(void) {
  char const *given = getenv("GROVE_SHIM_SHADOW");
  if (given == NULL || shim_root()[0] == '\0') return;
  snprintf(shadow, sizeof shadow, "%s", given);
  if (getenv("GROVE_SHIM_LIES") != NULL) lies = getenv("GROVE_SHIM_LIES");
  if (getenv("GROVE_SHIM_SYNC_US") != NULL) sync_us = (unsigned)atoi(getenv("GROVE_SHIM_SYNC_US"));
  srand((unsigned)getpid());
  char path[PATH_MAX];
  int is_first = mkdir(shadow, 0755) == 0;
  snprintf(path, sizeof path, "%s/files", shadow);
  mkdir(path, 0755);
  snprintf(path, sizeof path, "%s/folders", shadow);
  mkdir(path, 0755);
  if (is_first) keep_all();
}

static int sync_under_root(int fd) {
  struct stat status;
  pthread_mutex_lock(&disk);
  if (fstat(fd, &status) == 0) {
    if (S_ISDIR(status.st_mode)) {
      if (!lies_about("folders")) keep_folder(fd, 0);
    } else if (!lies_about("files")) {
      keep_file(fd);
    }
  }
  pthread_mutex_unlock(&disk);
  return 0;
}

int fsync(int fd) {
  char path[PATH_MAX];
  return shadow[0] && path_under_root(fd, path) ? sync_under_root(fd) : REAL(fsync)(fd);
}

int fdatasync(int fd) {
  char path[PATH_MAX];
  return shadow[0] && path_under_root(fd, path) ? sync_under_root(fd) : REAL(fdatasync)(fd);
}

int syncfs(int fd) {
  char path[PATH_MAX];
  if (!shadow[0] || !path_under_root(fd, path)) return REAL(syncfs)(fd);
  pthread_mutex_lock(&disk);
  keep_all();
  pthread_mutex_unlock(&disk);
  return 0;
}
