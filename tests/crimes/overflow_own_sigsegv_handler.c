/* The program has its own handler of SIGSEGV, which would hide the crime. */
#include "twin.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void on_fault(int number) { _exit(number - number); }

int main(void)
{
    signal(SIGSEGV, on_fault);
    volatile char *p = malloc(32); // ALLOCATED
    p[TWIN(32, 31)] = 1; // CRIME
    puts("written");
    free((void *)p);
    return 0;
}
