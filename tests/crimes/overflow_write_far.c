/* Writes 1000 bytes behind a block, on the guard page but far from its edge. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    volatile char *p = malloc(80); // ALLOCATED
    p[TWIN(1080, 79)] = 1; // CRIME
    puts("written");
    free((void *)p);
    return 0;
}
