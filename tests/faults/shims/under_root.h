// What the shims share: which files they meddle with. They are loaded with LD_PRELOAD into one
// grove process, and leave alone whatever is not under the folder that GROVE_SHIM_ROOT names.
#pragma once

#include <stdlib.h>
#include <unistd.h>

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

// Calls the function behind ours, under the name of the function that stands here.
#define REAL(name) ((__typeof__(&name))real_function(#name))

static inline void* real_function(char const* name) {
  void* found = dlsym(RTLD_NEXT, name);
  if (found == NULL) abort();
  return found;
}

// GROVE_SHIM_ROOT without links in it, read once; "" where there is none.
static inline char const* shim_root(void) {
  static char root[PATH_MAX];
  static int is_read;
  if (!is_read) {
    char const* given = getenv("GROVE_SHIM_ROOT");
    if (given != NULL && realpath(given, root) == NULL) snprintf(root, sizeof root, "%s", given);
    is_read = 1;
  }
  return root;
}

static inline int is_under_root(char const* path) {
  char const* root = shim_root();
  size_t length = strlen(root);
  return length > 0 && strncmp(path, root, length) == 0 &&
         (path[length] == '/' || path[length] == '\0');
}

// The path of an open descriptor, if it is under the root; else 0.
static inline int path_under_root(int fd, char path[PATH_MAX]) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, PATH_MAX - 1);
  if (length <= 0) return 0;
  path[length] = '\0';
  return is_under_root(path);
}
