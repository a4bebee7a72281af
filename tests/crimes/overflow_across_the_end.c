/* An 8-byte store of which five bytes belong to the block and three do not. */
#include "twin.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    char *p = malloc(64); // ALLOCATED
    *(volatile uint64_t *)(p + TWIN(59, 56)) = 1; // CRIME
    puts("written");
    free(p);
    return 0;
}
