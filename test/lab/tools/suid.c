/* Stands for a packaged softnet with the SUID bit: Node runs with root as the effective and the caller as the real user. */
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv) {
  char *command[argc + 2];
  command[0] = NODE;
  command[1] = MAIN;
  for (int i = 1; i <= argc; i++) command[i + 1] = argv[i];
  execv(NODE, command);
  perror(NODE);
  return 127;
}
