/* The crime happens in a child process. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    volatile char *p = malloc(32); // ALLOCATED
    if (fork() == 0) {
        p[TWIN(32, 31)] = 1; // CRIME
        _exit(0);
    }
    wait(NULL);
    puts("parent");
    free((void *)p);
    return 0;
}
