/* The program ignores SIGSEGV. */
#include "twin.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    signal(SIGSEGV, SIG_IGN);
    volatile char *p = malloc(32); // ALLOCATED
    p[TWIN(32, 31)] = 1; // CRIME
    puts("written");
    free((void *)p);
    return 0;
}
