/* Writes the third byte behind a block. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    volatile char *p = malloc(48); // ALLOCATED
    p[TWIN(50, 47)] = 'x'; // CRIME
    puts("written");
    free((void *)p);
    return 0;
}
