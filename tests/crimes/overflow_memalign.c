/* Reads behind a block of memalign. */
#include "twin.h"
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    volatile char *p = memalign(32, 96); // ALLOCATED
    p[95] = 3;
    char c = p[TWIN(98, 95)]; // CRIME
    printf("%d %zu\n", c, (size_t)p % 32);
    free((void *)p);
    return 0;
}
