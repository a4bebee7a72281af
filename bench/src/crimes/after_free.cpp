// With an argument it reads a string after the map around it is gone.
#include <map>
#include <string>
#include <vector>

int main(int argc, char **)
{
    std::map<std::string, std::vector<std::string>> names;
    for (int number = 0; number < 100; number++)
        names["name " + std::to_string(number % 10)].push_back(std::to_string(number));
    const std::string *old = &names["name 3"][0];
    if (argc > 1)
        names.clear();
    return (*old)[0] != '3';
}
