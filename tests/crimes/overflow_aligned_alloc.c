/* Writes behind a block of aligned_alloc. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    volatile char *p = aligned_alloc(64, 128); // ALLOCATED
    p[TWIN(128, 127)] = 1; // CRIME
    printf("%zu\n", (size_t)p % 64);
    free((void *)p);
    return 0;
}
