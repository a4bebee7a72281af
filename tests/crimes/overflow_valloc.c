/* Writes behind a block of valloc. */
#include "twin.h"
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    volatile char *p = valloc(4096); // ALLOCATED
    p[TWIN(4096, 4095)] = 1; // CRIME
    printf("%zu\n", (size_t)p % 4096);
    free((void *)p);
    return 0;
}
