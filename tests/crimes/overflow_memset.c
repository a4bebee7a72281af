/* memset with the size of another thing. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    volatile size_t len = TWIN(1030, 1024);
    char *p = malloc(1024); // ALLOCATED
    memset(p, '*', len); // CRIME
    printf("%.3s\n", p + 1000);
    free(p);
    return 0;
}
