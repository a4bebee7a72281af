/* Writes behind a block whose alignment is larger than a page. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    volatile char *p = aligned_alloc(16384, 16384); // ALLOCATED
    p[TWIN(16390, 16383)] = 1; // CRIME
    printf("%zu\n", (size_t)p % 16384);
    free((void *)p);
    return 0;
}
