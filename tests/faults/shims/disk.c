/* A disk that can be cut off: preloaded into a worker, it remembers what of the folder SHIM_ROOT the program has made
 * durable, and forgets nothing else. tests/harness/shims.py puts that state back after the process was killed.
 *
 * The least that POSIX promises counts: a file's content once fsync or fdatasync of it has returned, a folder's
 * entries once fsync of the folder has, everything after syncfs. In SHIM_SHADOW:
 *   files/<inode>     the content that is durable
 *   folders/<inode>   its durable entries, a line each: "f|d <inode> <name>"
 *   root              the inode of SHIM_ROOT
 * Further: SHIM_IGNORE_SYNC=1 answers every sync at once and remembers nothing, as a lying disk does.
 * SHIM_FAIL=<call>:<number> lets that call on a file beneath SHIM_ROOT fail with EIO, counted from 1; calls are
 * fsync, fdatasync, syncfs, pread, pwrite. SHIM_CLOCK=<file>: the wall clock is so many seconds ahead as it says. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static int path_of(int fd, char *path, size_t size) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, size - 1);
  if (length < 0) return -1;
  path[length] = 0;
  return 0;
}

static int is_ours(char const *path) {
  char const *root = getenv("SHIM_ROOT");
  return root != NULL && strncmp(path, root, strlen(root)) == 0;
}

static int is_fd_ours(int fd) {
  char path[4096];
  return path_of(fd, path, sizeof path) == 0 && is_ours(path);
}

/* Written beside and renamed, so that a kill leaves the old state or the new one. */
static FILE *begin(char const *kind, unsigned long long inode, char *final_name, char *scratch) {
  char const *shadow = getenv("SHIM_SHADOW");
  snprintf(final_name, 4096, "%s/%s/%llu", shadow, kind, inode);
  snprintf(scratch, 4096, "%s/scratch/%s-%llu", shadow, kind, inode);
  return fopen(scratch, "wb");
}

static void keep_file(char const *path) {
  char final_name[4096], scratch[4096];
  int from = open(path, O_RDONLY | O_CLOEXEC);
  struct stat status;
  if (from < 0) return;
  fstat(from, &status);
  FILE *to = begin("files", (unsigned long long)status.st_ino, final_name, scratch);
  char *piece = malloc(1 << 20);
  for (ssize_t count; to != NULL && (count = read(from, piece, 1 << 20)) > 0;) {
    fwrite(piece, 1, (size_t)count, to);
  }
  free(piece);
  close(from);
  if (to == NULL) return;
  fclose(to);
  rename(scratch, final_name);
}

static void keep_folder(char const *path, int deep) {
  char final_name[4096], scratch[4096], child[8192];
  struct stat status;
  if (stat(path, &status) != 0) return;
  DIR *folder = opendir(path);
  if (folder == NULL) return;
  FILE *to = begin("folders", (unsigned long long)status.st_ino, final_name, scratch);
  if (to == NULL) {
    closedir(folder);
    return;
  }
  for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
    int is_folder = entry->d_type == DT_DIR;
    fprintf(to, "%c %llu %s\n", is_folder ? 'd' : 'f', (unsigned long long)entry->d_ino, entry->d_name);
    if (deep && is_folder) keep_folder(child, 1);
    if (deep && !is_folder) keep_file(child);
  }
  closedir(folder);
  fclose(to);
  rename(scratch, final_name);
}

static void keep_everything(void) {
  char const *root = getenv("SHIM_ROOT");
  char const *shadow = getenv("SHIM_SHADOW");
  struct stat status;
  char name[4096];
  if (root == NULL || shadow == NULL || stat(root, &status) != 0) return;
  keep_folder(root, 1);
  snprintf(name, sizeof name, "%s/root", shadow);
  FILE *to = fopen(name, "w");
  if (to == NULL) return;
  fprintf(to, "%llu\n", (unsigned long long)status.st_ino);
  fclose(to);
}

/* What lies there when the process begins survived whatever was before. */
__attribute__((constructor)) static void start(void) {
  if (getenv("SHIM_SHADOW") != NULL) keep_everything();
}

static int remembers(void) { return getenv("SHIM_SHADOW") != NULL && getenv("SHIM_IGNORE_SYNC") == NULL; }

static int fails(char const *call) {
  static atomic_long count;
  char const *wanted = getenv("SHIM_FAIL");
  size_t length = strlen(call);
  if (wanted == NULL || strncmp(wanted, call, length) != 0 || wanted[length] != ':') return 0;
  return atomic_fetch_add(&count, 1) + 1 == strtol(wanted + length + 1, NULL, 10);
}

static int sync_one(int fd, char const *call, int (*real)(int)) {
  char path[4096];
  struct stat status;
  if (path_of(fd, path, sizeof path) != 0 || !is_ours(path)) return real(fd);
  if (fails(call)) {
    errno = EIO;
    return -1;
  }
  if (getenv("SHIM_IGNORE_SYNC") != NULL) return 0;
  int const result = real(fd);
  if (result != 0 || !remembers() || fstat(fd, &status) != 0) return result;
  pthread_mutex_lock(&mutex);
  if (S_ISDIR(status.st_mode)) {
    keep_folder(path, 0);
  } else {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    keep_file(link);
  }
  pthread_mutex_unlock(&mutex);
  return result;
}

int fsync(int fd) { return sync_one(fd, "fsync", (int (*)(int))dlsym(RTLD_NEXT, "fsync")); }
int fdatasync(int fd) { return sync_one(fd, "fdatasync", (int (*)(int))dlsym(RTLD_NEXT, "fdatasync")); }

int syncfs(int fd) {
  if (!is_fd_ours(fd)) return ((int (*)(int))dlsym(RTLD_NEXT, "syncfs"))(fd);
  if (fails("syncfs")) {
    errno = EIO;
    return -1;
  }
  /* The real one would sync the whole machine's disk. */
  if (!remembers()) return 0;
  pthread_mutex_lock(&mutex);
  keep_everything();
  pthread_mutex_unlock(&mutex);
  return 0;
}

ssize_t pread64(int fd, void *bytes, size_t size, off64_t offset) {
  static ssize_t (*real)(int, void *, size_t, off64_t);
  if (real == NULL) real = (ssize_t(*)(int, void *, size_t, off64_t))dlsym(RTLD_NEXT, "pread64");
  if (getenv("SHIM_FAIL") != NULL && is_fd_ours(fd) && fails("pread")) {
    errno = EIO;
    return -1;
  }
  return real(fd, bytes, size, offset);
}
ssize_t pread(int fd, void *bytes, size_t size, off_t offset) { return pread64(fd, bytes, size, offset); }

ssize_t pwrite64(int fd, void const *bytes, size_t size, off64_t offset) {
  static ssize_t (*real)(int, void const *, size_t, off64_t);
  if (real == NULL) real = (ssize_t(*)(int, void const *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
  if (getenv("SHIM_FAIL") != NULL && is_fd_ours(fd) && fails("pwrite")) {
    errno = EIO;
    return -1;
  }
  return real(fd, bytes, size, offset);
}
ssize_t pwrite(int fd, void const *bytes, size_t size, off_t offset) { return pwrite64(fd, bytes, size, offset); }

int clock_gettime(clockid_t clock, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  static atomic_long ahead, read_at;
  if (real == NULL) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int const result = real(clock, now);
  char const *file = getenv("SHIM_CLOCK");
  if (result != 0 || file == NULL || clock != CLOCK_REALTIME) return result;
  struct timespec monotonic;
  real(CLOCK_MONOTONIC, &monotonic);
  long const tenth = monotonic.tv_sec * 10 + monotonic.tv_nsec / 100000000;
  if (atomic_exchange(&read_at, tenth) != tenth) {
    char text[32] = {0};
    int const fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
      if (read(fd, text, sizeof text - 1) > 0) atomic_store(&ahead, strtol(text, NULL, 10));
      close(fd);
    }
  }
  now->tv_sec += atomic_load(&ahead);
  return result;
}
