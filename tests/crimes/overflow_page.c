/* Writes behind a block of exactly one page. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    volatile char *p = malloc(4096); // ALLOCATED
    p[TWIN(4096, 4095)] = 1; // CRIME
    puts("written");
    free((void *)p);
    return 0;
}
