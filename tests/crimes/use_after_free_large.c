/* Reads in the middle of a freed block of 1 MiB. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    volatile char *p = calloc(1 << 20, 1); // ALLOCATED
    free(TWIN((void *)p, NULL)); // FREED
    printf("%d\n", p[500000]); // CRIME
    return 0;
}
