/* Functions of libc that use malloc themselves. */
#include "check.h"
#include <locale.h>
#include <regex.h>

int main(void)
{
    char *text, *line = NULL;
    size_t len, room = 0;
    FILE *stream = open_memstream(&text, &len);
    for (int number = 0; number < 5000; number++)
        fprintf(stream, "line %d\n", number);
    fclose(stream);
    CHECK((stream = fmemopen(text, len, "r")));
    for (int number = 0; number < 5000; number++)
        CHECK(getline(&line, &room, stream) > 0);
    fclose(stream);
    regex_t pattern;
    CHECK(regcomp(&pattern, "line ([0-9]+)\nline \\1", REG_EXTENDED) == 0);
    CHECK(regexec(&pattern, "line 7\nline 7", 0, NULL, 0) == 0);
    regfree(&pattern);
    free(line);
    free(text);
    CHECK(asprintf(&text, "%*d", 5000, 7) == 5000 && (line = strndup(text, 4000)));
    CHECK(strlen(line) == 4000 && setlocale(LC_ALL, "C"));
    free(line);
    free(text);
    puts("libc was content");
    return 0;
}
