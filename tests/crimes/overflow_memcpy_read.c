/* memcpy out of a block that is too small. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    char copy[128] = "";
    volatile size_t len = TWIN(100, 96);
    char *p = calloc(96, 1); // ALLOCATED
    memcpy(copy, p, len); // CRIME
    printf("%d\n", copy[95]);
    free(p);
    return 0;
}
