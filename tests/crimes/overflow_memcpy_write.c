/* memcpy into a block that is too small. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    char text[] = "the quick brown fox jumps over the lazy dog, and again, and again";
    volatile size_t len = TWIN(50, 48);
    char *p = malloc(48); // ALLOCATED
    memcpy(p, text, len); // CRIME
    printf("%.8s\n", p);
    free(p);
    return 0;
}
