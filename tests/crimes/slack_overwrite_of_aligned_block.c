/* Alignment to 64 leaves 28 bytes of slack behind 100; the last of them is written. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    volatile char *p = aligned_alloc(64, 100); // ALLOCATED
    p[TWIN(127, 99)] = 1; // CRIME
    puts("written");
    free((void *)p); // FOUND
    return 0;
}
