/* Between the free and the use are 20,000 other blocks, and as many frees. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    volatile char *p = malloc(48); // ALLOCATED
    free(TWIN((void *)p, NULL)); // FREED
    for (int i = 0; i < 20000; i++)
        free(malloc(48));
    p[7] = 1; // CRIME
    puts("written");
    return 0;
}
