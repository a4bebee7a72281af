/* Reads the last byte before a block. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    volatile char *p = calloc(1, 100); // ALLOCATED
    char c = p[TWIN(-1, 0)]; // CRIME
    printf("%d\n", c);
    free((void *)p);
    return 0;
}
