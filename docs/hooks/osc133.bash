# For ~/.bashrc: marks prompts and commands (OSC 133), so that opsctl knows when the shell is idle, busy, or has failed.
# Sourcing it twice does no harm.
if [[ $- == *i* && -z ${OPSCTL_OSC133-} ]]; then
  OPSCTL_OSC133=1
  __opsctl_prompt() {
    local code=$?
    printf '\e]133;D;%s\a\e]133;A\a' "$code"
    return "$code"
  }
  PROMPT_COMMAND="__opsctl_prompt${PROMPT_COMMAND:+;$PROMPT_COMMAND}"
  # Put out after a command was read and before it runs. Not within \[ \], which only a prompt that is edited takes back out.
  PS0="${PS0-}\e]133;C\a"
fi
