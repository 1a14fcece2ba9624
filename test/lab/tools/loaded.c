/* A library that tells in MARKER when a program with rights loads it: it must never be. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

__attribute__((constructor)) static void loaded(void) {
  if (geteuid() != 0 && geteuid() == getuid()) return;
  int file = open(MARKER, O_CREAT | O_WRONLY, 0666);
  if (file >= 0) dprintf(file, "loaded into process %d with the effective user %d\n", (int)getpid(), (int)geteuid());
}
