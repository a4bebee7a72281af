/* Reads before a block of 1 MiB. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    volatile short *p = calloc(1 << 19, sizeof *p); // ALLOCATED
    short n = p[TWIN(-100, 0)]; // CRIME
    printf("%d\n", n);
    free((void *)p);
    return 0;
}
