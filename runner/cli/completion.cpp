// SPDX-License-Identifier: Apache-2.0
#include "cli/completion.hpp"

#include <fmt/format.h>

#include <vector>

namespace lunkit::cli {
namespace {

struct Word {
    std::string text;
    std::string help;
};

/// What may follow a command.
struct Command {
    std::vector<std::string> path;  ///< "ublk", "add"; empty: the program itself
    std::vector<Word> commands;
    std::vector<Word> options;
    std::string lister;  ///< the command that lists the devices which it takes; empty: none
};

void collect(const CLI::App& app, const std::vector<std::string>& path,
             std::vector<Command>& found) {
    Command command{.path = path, .commands = {}, .options = {}, .lister = {}};
    for (const CLI::Option* const option : app.get_options()) {
        for (const std::string& name : option->get_lnames()) {
            command.options.push_back({"--" + name, option->get_description()});
        }
        if (option->get_name(true) == "DEV") {
            command.lister = path.size() > 1 ? path.front() + " list" : "list";
        }
    }
    std::vector<const CLI::App*> below = app.get_subcommands([](const CLI::App*) { return true; });
    for (const CLI::App* const one : below) {
        command.commands.push_back({one->get_name(), one->get_description()});
    }
    found.push_back(std::move(command));
    for (const CLI::App* const one : below) {
        std::vector<std::string> longer = path;
        longer.push_back(one->get_name());
        collect(*one, longer, found);
    }
}

std::string joined(const std::vector<Word>& words) {
    std::string text;
    for (const Word& word : words) {
        text += (text.empty() ? "" : " ") + word.text;
    }
    return text;
}

/// `text` between single quotes.
std::string in_quotes(const std::string& text) {
    std::string out = "'";
    for (const char c : text) {
        out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    }
    return out + "'";
}

// The longest path of known commands that the words before the cursor begin with is the command.
constexpr const char* kFindCommand = R"(    local word chain= offers= lister=
    for word in "${before[@]}"; do
        case " $paths " in
        *" ${chain:+$chain/}$word "*) chain=${chain:+$chain/}$word ;;
        esac
    done
)";

std::string paths_of(const std::vector<Command>& commands) {
    std::string text;
    for (const Command& command : commands) {
        if (!command.path.empty()) {
            text += fmt::format("{}{}", text.empty() ? "" : " ", fmt::join(command.path, "/"));
        }
    }
    return text;
}

/// The `case` that bash and zsh share: sets `offers` and `lister`.
std::string choice(const std::vector<Command>& commands) {
    std::string text = "    case $chain in\n";
    for (const Command& command : commands) {
        const std::vector<Word>& words = command.commands;
        text += fmt::format(
            "    {})\n        offers={}\n{}        ;;\n",
            command.path.empty() ? std::string("''")
                                 : fmt::format("{}", fmt::join(command.path, "/")),
            in_quotes(joined(words) + (words.empty() ? "" : " ") + joined(command.options)),
            command.lister.empty() ? ""
                                   : fmt::format("        lister={}\n", in_quotes(command.lister)));
    }
    return text + "    esac\n";
}

/// `lister` unquoted: words.
constexpr const char* kBashDevices =
    R"sh(    [ -z "$lister" ] || offers+=" $(lunkit $lister 2>/dev/null | awk 'NR > 1 { print $1 }')"
)sh";
constexpr const char* kZshDevices =
    R"sh(    [ -z "$lister" ] || offers+=" $(lunkit ${=lister} 2>/dev/null | awk 'NR > 1 { print $1 }')"
)sh";

std::string bash_script(const std::vector<Command>& commands) {
    return fmt::format(
        R"(# bash completion of lunkit; made by `lunkit completion bash`.
_lunkit() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} before=("${{COMP_WORDS[@]:1:COMP_CWORD-1}}")
    local paths={}
{}{}{}    mapfile -t COMPREPLY < <(compgen -W '$offers' -- "$current")
}}
complete -o default -F _lunkit lunkit
)",
        in_quotes(paths_of(commands)), kFindCommand, choice(commands), kBashDevices);
}

std::string zsh_script(const std::vector<Command>& commands) {
    return fmt::format(
        R"(#compdef lunkit
# zsh completion of lunkit; made by `lunkit completion zsh`.
_lunkit() {{
    local before=("${{(@)words[2,CURRENT-1]}}")
    local paths={}
{}{}{}    compadd -- ${{=offers}} || _files
}}
if [ "$funcstack[1]" = _lunkit ]; then _lunkit "$@"; else compdef _lunkit lunkit; fi
)",
        in_quotes(paths_of(commands)), kFindCommand, choice(commands), kZshDevices);
}

std::string fish_script(const std::vector<Command>& commands) {
    std::string text = "# fish completion of lunkit; made by `lunkit completion fish`.\n";
    for (const Command& command : commands) {
        std::string when = "__fish_use_subcommand";
        if (!command.path.empty()) {
            when.clear();
            for (const std::string& part : command.path) {
                when += fmt::format("{}__fish_seen_subcommand_from {}",
                                    when.empty() ? "" : "; and ", part);
            }
        }
        const std::string none_yet = command.path.empty()
                                         ? when
                                         : fmt::format("{}; and not __fish_seen_subcommand_from {}",
                                                       when, joined(command.commands));
        for (const Word& word : command.commands) {
            text += fmt::format("complete -c lunkit -f -n {} -a {} -d {}\n", in_quotes(none_yet),
                                word.text, in_quotes(word.help));
        }
        for (const Word& option : command.options) {
            text += fmt::format("complete -c lunkit -n {} -l {} -d {}\n", in_quotes(when),
                                option.text.substr(2), in_quotes(option.help));
        }
        if (!command.lister.empty()) {
            text += fmt::format(
                "complete -c lunkit -f -n {} -a \"(lunkit {} 2>/dev/null | awk 'NR > 1 {{ print "
                "\\$1 }}')\"\n",
                in_quotes(when), command.lister);
        }
    }
    return text;
}

}  // namespace

std::string completion_script(const CLI::App& app, const std::string& shell) {
    std::vector<Command> commands;
    collect(app, {}, commands);
    if (shell == "bash") {
        return bash_script(commands);
    }
    return shell == "zsh" ? zsh_script(commands) : fish_script(commands);
}

}  // namespace lunkit::cli
