# For ~/.zshrc: marks prompts and commands (OSC 133), so that opsctl knows when the shell is idle, busy, or has failed.
# Sourcing it twice does no harm.
if [[ -o interactive && -z ${OPSCTL_OSC133-} ]]; then
  OPSCTL_OSC133=1
  __opsctl_precmd() { local code=$?; printf '\e]133;D;%s\a\e]133;A\a' "$code" }
  __opsctl_preexec() { printf '\e]133;C\a' }
  autoload -Uz add-zsh-hook
  # First, so that it sees the command's own code.
  precmd_functions=(__opsctl_precmd ${precmd_functions-})
  add-zsh-hook preexec __opsctl_preexec
fi
