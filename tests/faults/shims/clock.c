// A wall clock that jumps. GROVE_SHIM_CLOCK is a file with a jump a line, oldest first, which may grow
// while the process runs:
//
//     SINCE OFFSET      since SINCE (the machine's own clock, ns) this clock is OFFSET ns beside it
//
// The times of files are those of the same clock, as on a machine whose clock jumps: a file written
// before a jump seems old after one ahead, and one written after it young. The monotonic clock does
// not jump.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>

#include "under_root.h"

enum { jumps_max = 32 };
static long long const second = 1000000000LL;

struct jump {
  long long since, offset;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct jump jumps[jumps_max];
static int jumps_count;
static off_t jumps_bytes;

static long long ns_of(struct timespec time) {
  return time.tv_sec * second + time.tv_nsec;
}

static struct timespec time_of(long long ns) {
  long long fraction = ((ns % second) + second) % second;
  return (struct timespec){.tv_sec = (ns - fraction) / second, .tv_nsec = fraction};
}

// With the mutex. The file only grows.
static void read_jumps(void) {
  char const *file = getenv("GROVE_SHIM_CLOCK");
  struct stat status;
  if (file == NULL || REAL(stat)(file, &status) != 0 || status.st_size == jumps_bytes) return;
  FILE *text = fopen(file, "re");
  if (text == NULL) return;
  jumps_bytes = status.st_size;
  jumps_count = 0;
  struct jump jump;
  while (jumps_count < jumps_max && fscanf(text, "%lld %lld", &jump.since, &jump.offset) == 2) {
    jumps[jumps_count++] = jump;
  }
  fclose(text);
}

static long long offset_at(long long real) {
  long long offset = 0;
  pthread_mutex_lock(&mutex);
  read_jumps();
  for (int i = 0; i < jumps_count && jumps[i].since <= real; ++i) offset = jumps[i].offset;
  pthread_mutex_unlock(&mutex);
  return offset;
}

static void shift(struct timespec *time) {
  long long real = ns_of(*time);
  *time = time_of(real + offset_at(real));
}

// The machine's time at which this clock showed `shown`; the latest, where it did so twice.
static long long real_of(long long shown) {
  long long real = shown;
  pthread_mutex_lock(&mutex);
  read_jumps();
  for (int i = 0; i < jumps_count; ++i) {
    if (shown - jumps[i].offset >= jumps[i].since) real = shown - jumps[i].offset;
  }
  pthread_mutex_unlock(&mutex);
  return real;
}

// --- the clock ---

int clock_gettime(clockid_t clock, struct timespec *time) {
  int result = REAL(clock_gettime)(clock, time);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) shift(time);
  return result;
}

int gettimeofday(struct timeval *time, void *zone) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  *time = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
  (void)zone;
  return 0;
}

time_t time(time_t *seconds) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (seconds != NULL) *seconds = now.tv_sec;
  return now.tv_sec;
}

// --- the times of files ---

static int shifted(int result, struct stat *status) {
  if (result == 0) {
    shift(&status->st_mtim);
    shift(&status->st_ctim);
    shift(&status->st_atim);
  }
  return result;
}

int stat(char const *path, struct stat *status) {
  return shifted(REAL(stat)(path, status), status);
}

int lstat(char const *path, struct stat *status) {
  return shifted(REAL(lstat)(path, status), status);
}

int fstat(int fd, struct stat *status) {
  return shifted(REAL(fstat)(fd, status), status);
}

int fstatat(int folder, char const *path, struct stat *status, int flags) {
  return shifted(REAL(fstatat)(folder, path, status, flags), status);
}

static struct timespec const *unshifted(struct timespec const given[2], struct timespec real[2]) {
  if (given == NULL) return NULL;
  for (int i = 0; i < 2; ++i) {
    real[i] = given[i];
    if (given[i].tv_nsec != UTIME_OMIT && given[i].tv_nsec != UTIME_NOW) {
      real[i] = time_of(real_of(ns_of(given[i])));
    }
  }
  return real;
}

int futimens(int fd, struct timespec const times[2]) {
  struct timespec real[2];
  return REAL(futimens)(fd, unshifted(times, real));
}

int utimensat(int folder, char const *path, struct timespec const times[2], int flags) {
  struct timespec real[2];
  return REAL(utimensat)(folder, path, unshifted(times, real), flags);
}
