/* Writes the first byte behind a block. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    volatile char *p = malloc(64); // ALLOCATED
    p[TWIN(64, 63)] = 1; // CRIME
    puts("written");
    free((void *)p); // FOUND
    return 0;
}
