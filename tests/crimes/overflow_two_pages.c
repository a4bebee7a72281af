/* Reads behind a block of exactly two pages. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    volatile char *p = calloc(2, 4096); // ALLOCATED
    char c = p[TWIN(8192, 8191)]; // CRIME
    printf("%d\n", c);
    free((void *)p);
    return 0;
}
