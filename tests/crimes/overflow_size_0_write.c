/* Writes the first byte of a block that has none. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    volatile char *p = malloc(0); // ALLOCATED
    for (int i = 0; i < TWIN(1, 0); i++)
        p[i] = 1; // CRIME
    puts("written");
    free((void *)p);
    return 0;
}
