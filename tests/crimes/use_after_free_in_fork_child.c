/* The parent frees a block, and its child uses it. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    volatile char *p = calloc(1, 32); // ALLOCATED
    free(TWIN((void *)p, NULL)); // FREED
    if (fork() == 0)
        _exit(p[4]); // CRIME
    wait(NULL);
    puts("parent");
    return 0;
}
