/* Writes the last byte before a block. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    volatile char *p = malloc(16); // ALLOCATED
    p[TWIN(-1, 0)] = 1; // CRIME
    puts("written");
    free((void *)p); // FOUND
    return 0;
}
