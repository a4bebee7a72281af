/* Writes behind a block of calloc. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    volatile char *p = calloc(5, 16); // ALLOCATED
    p[TWIN(80, 79)] = 1; // CRIME
    printf("%d\n", p[78]);
    free((void *)p);
    return 0;
}
