/* Writes the word before a block, where other allocators keep its size. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    volatile long *p = malloc(40); // ALLOCATED
    p[TWIN(-1, 0)] = 5; // CRIME
    puts("written");
    free((void *)p); // FOUND
    return 0;
}
