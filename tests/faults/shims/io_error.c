// Makes reads, writes and syncs under GROVE_SHIM_ROOT fail, as a dying disk does.
//
// GROVE_SHIM_RULES is a file with a rule a line, which may be changed while the process runs:
//
//     CALL SKIP TIMES PART      CALL: read, write or sync; PART: "*", or a part of the file's path
//
// The calls number SKIP + 1 … SKIP + TIMES that match fail with EIO. Each is told in RULES.log.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "under_root.h"

enum { rules_max = 16, part_bytes = 128 };

struct rule {
  char call[8];
  char part[part_bytes];
  unsigned long skip, times, seen;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct rule rules[rules_max];
static int rules_count;
static struct timespec rules_changed;
static ino_t rules_inode;

static void read_rules(char const *file) {
  struct stat status;
  if (stat(file, &status) != 0) {
    rules_count = 0;
    return;
  }
  if (status.st_ino == rules_inode && status.st_mtim.tv_sec == rules_changed.tv_sec &&
      status.st_mtim.tv_nsec == rules_changed.tv_nsec) {
    return;
  }
  FILE *text = fopen(file, "re");
  if (text == NULL) return;
  rules_inode = status.st_ino;
  rules_changed = status.st_mtim;
  rules_count = 0;
  struct rule rule = {0};
  while (rules_count < rules_max && fscanf(text, "%7s %lu %lu %127s", rule.call, &rule.skip,
                                           &rule.times, rule.part) == 4) {
    rules[rules_count++] = rule;
  }
  fclose(text);
}

static void tell(char const *file, char const *call, char const *path) {
  char log[PATH_MAX];
  snprintf(log, sizeof log, "%s.log", file);
  FILE *text = fopen(log, "ae");
  if (text == NULL) return;
  fprintf(text, "%s %s\n", call, path);
  fclose(text);
}

// Whether this call is to fail; errno is set then.
static int fails(char const *call, int fd) {
  char const *file = getenv("GROVE_SHIM_RULES");
  char path[PATH_MAX];
  if (file == NULL || !path_under_root(fd, path)) return 0;
  int is_hit = 0;
  pthread_mutex_lock(&mutex);
  read_rules(file);
  for (int i = 0; i < rules_count && !is_hit; ++i) {
    struct rule *rule = &rules[i];
    if (strcmp(rule->call, call) != 0) continue;
    if (strcmp(rule->part, "*") != 0 && strstr(path, rule->part) == NULL) continue;
    ++rule->seen;
    is_hit = rule->seen > rule->skip && rule->seen - rule->skip <= rule->times;
  }
  if (is_hit) tell(file, call, path);
  pthread_mutex_unlock(&mutex);
  if (is_hit) errno = EIO;
  return is_hit;
}

ssize_t pread(int fd, void *bytes, size_t size, off_t offset) {
  return fails("read", fd) ? -1 : REAL(pread)(fd, bytes, size, offset);
}

ssize_t pread64(int fd, void *bytes, size_t size, off64_t offset) {
  return fails("read", fd) ? -1 : REAL(pread64)(fd, bytes, size, offset);
}

ssize_t pwrite(int fd, void const *bytes, size_t size, off_t offset) {
  return fails("write", fd) ? -1 : REAL(pwrite)(fd, bytes, size, offset);
}

ssize_t pwrite64(int fd, void const *bytes, size_t size, off64_t offset) {
  return fails("write", fd) ? -1 : REAL(pwrite64)(fd, bytes, size, offset);
}

int fsync(int fd) {
  return fails("sync", fd) ? -1 : REAL(fsync)(fd);
}

int fdatasync(int fd) {
  return fails("sync", fd) ? -1 : REAL(fdatasync)(fd);
}

int syncfs(int fd) {
  return fails("sync", fd) ? -1 : REAL(syncfs)(fd);
}
