/* Reads the third byte behind a block. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    volatile char *p = calloc(1, 32); // ALLOCATED
    int sum = p[0] + p[TWIN(34, 31)]; // CRIME
    printf("%d\n", sum);
    free((void *)p);
    return 0;
}
