# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_jit_ssh_global_optspecs
    string join \n json h/help V/version
end

function __fish_jit_ssh_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_jit_ssh_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_jit_ssh_using_subcommand
    set -l cmd (__fish_jit_ssh_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c jit-ssh -n "__fish_jit_ssh_needs_command" -l json -d 'Print the answer as one line of JSON'
complete -c jit-ssh -n "__fish_jit_ssh_needs_command" -s h -l help -d 'Print help'
complete -c jit-ssh -n "__fish_jit_ssh_needs_command" -s V -l version -d 'Print version'
complete -c jit-ssh -n "__fish_jit_ssh_needs_command" -f -a "login" -d 'Sign in at the identity provider and get a first certificate'
complete -c jit-ssh -n "__fish_jit_ssh_needs_command" -f -a "logout" -d 'End the login and remove its keys from agent and disk'
complete -c jit-ssh -n "__fish_jit_ssh_needs_command" -f -a "status" -d 'Who is signed in, with which roles, for how long'
complete -c jit-ssh -n "__fish_jit_ssh_needs_command" -f -a "roles" -d 'Roles that you may have, and what would help with the others'
complete -c jit-ssh -n "__fish_jit_ssh_needs_command" -f -a "ensure" -d 'Make sure of a certificate for one account on one host (run by ssh, see `ssh-config`)'
complete -c jit-ssh -n "__fish_jit_ssh_needs_command" -f -a "ssh-config" -d 'Make plain ssh, scp, rsync, git … use jit-ssh for the CA\'s hosts'
complete -c jit-ssh -n "__fish_jit_ssh_needs_command" -f -a "inspect" -d 'Say in words what is in a certificate, anybody\'s'
complete -c jit-ssh -n "__fish_jit_ssh_needs_command" -f -a "doctor" -d 'Find what is wrong, and the mend'
complete -c jit-ssh -n "__fish_jit_ssh_needs_command" -f -a "completions" -d 'Print completions for a shell'
complete -c jit-ssh -n "__fish_jit_ssh_needs_command" -f -a "man" -d 'Print the man page, or write all of them into a folder'
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand login" -l ca -d 'Address of the CA; needed the first time only' -r
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand login" -l fingerprint -d 'Fingerprint of the CA\'s identity key, from whoever runs the CA' -r
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand login" -l ca-file -d 'TLS CA certificates (PEM) to trust for the CA and the identity provider' -r -F
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand login" -l issuer -d 'Identity provider, by address or label, where the CA knows several' -r
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand login" -l role -d 'Role of the first certificate' -r
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand login" -l key -d 'Certify this key instead of a fresh one (FIDO, RSA, ECDSA …)' -r -F
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand login" -l no-browser -d 'Sign in on another machine and paste what the browser shows'
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand login" -l no-agent -d 'Keep the login key in a file even where there is an agent'
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand login" -l ssh-config -d 'Write the ssh configuration without asking'
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand login" -l json -d 'Print the answer as one line of JSON'
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand login" -s h -l help -d 'Print help'
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand logout" -l ca -d 'Name or address of the CA, where several are known' -r
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand logout" -l everywhere -d 'End your logins on all machines, and revoke all of their certificates'
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand logout" -l forget -d 'Forget the CA and its pin as well'
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand logout" -l json -d 'Print the answer as one line of JSON'
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand logout" -s h -l help -d 'Print help'
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand status" -l ca -d 'Name or address of the CA, where several are known' -r
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand status" -l short -d 'One short line for a shell prompt, from files alone'
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand status" -l json -d 'Print the answer as one line of JSON'
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand status" -s h -l help -d 'Print help'
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand roles" -l ca -d 'Name or address of the CA, where several are known' -r
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand roles" -l json -d 'Print the answer as one line of JSON'
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand roles" -s h -l help -d 'Print help'
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand ensure" -l ca -d 'Name or address of the CA, where several are known' -r
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand ensure" -l host -d 'Host name, as ssh resolved it (`%h`)' -r
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand ensure" -l account -d 'Account on the host (`%r`)' -r
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand ensure" -l role -d 'Role, instead of the first that opens the account' -r
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand ensure" -l json -d 'Print the answer as one line of JSON'
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand ensure" -s h -l help -d 'Print help'
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand ssh-config" -l print -d 'Print what would be included, change nothing'
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand ssh-config" -l dry-run -d 'Show the changes, make none'
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand ssh-config" -l remove -d 'Take everything out again'
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand ssh-config" -l json -d 'Print the answer as one line of JSON'
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand ssh-config" -s h -l help -d 'Print help'
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand inspect" -l json -d 'Print the answer as one line of JSON'
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand inspect" -s h -l help -d 'Print help'
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand doctor" -l ca -d 'Name or address of the CA, where several are known' -r
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand doctor" -l json -d 'Print the answer as one line of JSON'
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand completions" -l json -d 'Print the answer as one line of JSON'
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand completions" -s h -l help -d 'Print help'
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand man" -l json -d 'Print the answer as one line of JSON'
complete -c jit-ssh -n "__fish_jit_ssh_using_subcommand man" -s h -l help -d 'Print help'
