/* Writes behind a block of 100 MiB. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    size_t size = 100 << 20;
    volatile char *p = malloc(size); // ALLOCATED
    p[0] = 1;
    p[TWIN(size, size - 1)] = 1; // CRIME
    puts("written");
    free((void *)p);
    return 0;
}
