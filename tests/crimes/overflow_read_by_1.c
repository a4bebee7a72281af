/* Reads the first byte behind a block. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    volatile char *p = malloc(16); // ALLOCATED
    p[15] = 5;
    char c = p[TWIN(16, 15)]; // CRIME
    printf("%d\n", c);
    free((void *)p);
    return 0;
}
