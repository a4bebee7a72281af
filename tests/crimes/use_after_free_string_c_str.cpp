// The text of a string is used after the string is gone.
#include "twin.h"
#include <cstdio>
#include <string>

static const char *name(const std::string &kept)
{
    std::string local(31, 'x'); // ALLOCATED
    return TWIN(local, kept).c_str();
} // FREED

int main()
{
    std::string kept(31, 'x');
    const char *text = name(kept);
    std::printf("%d\n", text[30]); // CRIME
}
