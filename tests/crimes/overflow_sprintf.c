/* sprintf of a number that is longer than expected. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    volatile int number = TWIN(1234567, 123456);
    char *p = malloc(16); // ALLOCATED
    sprintf(p, "number = %d", number); // CRIME
    puts(p);
    free(p);
    return 0;
}
