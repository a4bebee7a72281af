/* The crime after main has returned. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

static volatile char *block;

static void at_exit(void)
{
    block[TWIN(48, 47)] = 1; // CRIME
    puts("at exit");
}

int main(void)
{
    block = malloc(48); // ALLOCATED
    atexit(at_exit);
    return 0;
}
