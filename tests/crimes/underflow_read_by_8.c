/* Reads the word before a block, where other allocators keep its size. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    volatile long *p = calloc(5, 8); // ALLOCATED
    long n = p[TWIN(-1, 0)]; // CRIME
    printf("%ld\n", n);
    free((void *)p);
    return 0;
}
