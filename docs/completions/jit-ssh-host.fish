# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_jit_ssh_host_global_optspecs
    string join \n json h/help V/version
end

function __fish_jit_ssh_host_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_jit_ssh_host_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_jit_ssh_host_using_subcommand
    set -l cmd (__fish_jit_ssh_host_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c jit-ssh-host -n "__fish_jit_ssh_host_needs_command" -l json -d 'Print one line of JSON instead of text'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_needs_command" -s V -l version -d 'Print version'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_needs_command" -f -a "install" -d 'Make this host\'s sshd trust the CA'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_needs_command" -f -a "uninstall" -d 'Take the trust back: every file as it was before'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_needs_command" -f -a "print" -d 'Print the files for Ansible, cloud-init or by hand, without touching this host'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_needs_command" -f -a "enroll" -d 'Join the CA\'s fleet by an invitation: host certificates, and trust that is kept fresh'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_needs_command" -f -a "sync" -d 'Keep what this host trusts as the CA says; systemd runs it'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_needs_command" -f -a "status" -d 'Show what this host holds, without asking anybody'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_needs_command" -f -a "unenroll" -d 'Leave the fleet: every file as it was before'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_needs_command" -f -a "doctor" -d 'Check that sshd really trusts the CA, account by account'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_needs_command" -f -a "completions" -d 'Print completions for a shell: `jit-ssh-host completions bash`'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_needs_command" -f -a "man" -d 'Write man pages into a folder'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand install" -l ca -d 'URL of the CA' -r
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand install" -l fingerprint -d 'Fingerprint of the CA\'s identity key, as `jit-ssh-ca setup` printed it' -r
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand install" -l ca-file -d 'Further CA certificates to verify TLS with (PEM)' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand install" -l account -d 'Which roles open which account; ROLE+ACCOUNT for a role on people\'s own accounts; ACCOUNT alone where the policy says `principals = "accounts"`' -r
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand install" -l sshd-config -d 'Main configuration file of sshd' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand install" -l sshd -d 'The sshd program; found in the usual places by default' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand install" -l folder -d 'Folder for the CA keys and principals files' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand install" -l state -d 'Folder for what an enrolled host remembers' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand install" -l create-accounts -d 'Make accounts that do not exist yet, with a home folder and without a password'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand install" -l drop-other-cas -d 'Do not keep keys of another CA that sshd trusted before for these accounts'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand install" -l dry-run -d 'Show what would change, change nothing'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand install" -l no-reload -d 'Do not tell a running sshd to read its configuration again'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand install" -l json -d 'Print one line of JSON instead of text'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand install" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand uninstall" -l sshd-config -d 'Main configuration file of sshd' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand uninstall" -l sshd -d 'The sshd program; found in the usual places by default' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand uninstall" -l folder -d 'Folder for the CA keys and principals files' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand uninstall" -l state -d 'Folder for what an enrolled host remembers' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand uninstall" -l dry-run -d 'Show what would change, change nothing'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand uninstall" -l force -d 'Also where somebody changed a file since'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand uninstall" -l no-reload -d 'Do not tell a running sshd to read its configuration again'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand uninstall" -l json -d 'Print one line of JSON instead of text'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand uninstall" -s h -l help -d 'Print help'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand print" -l ca -d 'URL of the CA' -r
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand print" -l fingerprint -d 'Fingerprint of the CA\'s identity key, as `jit-ssh-ca setup` printed it' -r
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand print" -l ca-file -d 'Further CA certificates to verify TLS with (PEM)' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand print" -l account -d 'Which roles open which account, as for `install`' -r
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand print" -l format -d 'For whom' -r -f -a "text\t'Each file behind its path'
cloud-init\t'`write_files` of cloud-init'
ansible\t'An Ansible play, with its handler'"
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand print" -l folder -d 'Folder for the CA keys and principals files on the host' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand print" -l json -d 'Print one line of JSON instead of text'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand print" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand enroll" -l ca -d 'URL of the CA' -r
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand enroll" -l fingerprint -d 'Fingerprint of the CA\'s identity key, as `jit-ssh-ca setup` printed it' -r
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand enroll" -l ca-file -d 'Further CA certificates to verify TLS with (PEM)' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand enroll" -l token-file -d 'File with the invitation, which nobody else may read' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand enroll" -l name -d 'Name that people type after `ssh`; the host\'s own full name by default' -r
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand enroll" -l sshd-config -d 'Main configuration file of sshd' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand enroll" -l sshd -d 'The sshd program; found in the usual places by default' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand enroll" -l folder -d 'Folder for the CA keys and principals files' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand enroll" -l state -d 'Folder for what an enrolled host remembers' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand enroll" -l dry-run -d 'Show what would be sent and written, change nothing and use no invitation'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand enroll" -l no-reload -d 'Do not tell a running sshd to read its configuration again'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand enroll" -l no-service -d 'Do not have systemd run `jit-ssh-host sync`'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand enroll" -l json -d 'Print one line of JSON instead of text'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand enroll" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand sync" -l ca-file -d 'Further CA certificates to verify TLS with (PEM)' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand sync" -l sshd-config -d 'Main configuration file of sshd' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand sync" -l sshd -d 'The sshd program; found in the usual places by default' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand sync" -l folder -d 'Folder for the CA keys and principals files' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand sync" -l state -d 'Folder for what an enrolled host remembers' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand sync" -l once -d 'Ask once, put down what comes, and end'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand sync" -l json -d 'Print one line of JSON instead of text'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand sync" -s h -l help -d 'Print help'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand status" -l sshd-config -d 'Main configuration file of sshd' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand status" -l sshd -d 'The sshd program; found in the usual places by default' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand status" -l folder -d 'Folder for the CA keys and principals files' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand status" -l state -d 'Folder for what an enrolled host remembers' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand status" -l json -d 'Print one line of JSON instead of text'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand status" -s h -l help -d 'Print help'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand unenroll" -l sshd-config -d 'Main configuration file of sshd' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand unenroll" -l sshd -d 'The sshd program; found in the usual places by default' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand unenroll" -l folder -d 'Folder for the CA keys and principals files' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand unenroll" -l state -d 'Folder for what an enrolled host remembers' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand unenroll" -l dry-run -d 'Show what would change, change nothing'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand unenroll" -l force -d 'Also where somebody changed a file since'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand unenroll" -l no-reload -d 'Do not tell a running sshd to read its configuration again'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand unenroll" -l json -d 'Print one line of JSON instead of text'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand unenroll" -s h -l help -d 'Print help'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand doctor" -l ca-file -d 'Further CA certificates to verify TLS with (PEM)' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand doctor" -l sshd-config -d 'Main configuration file of sshd' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand doctor" -l sshd -d 'The sshd program; found in the usual places by default' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand doctor" -l folder -d 'Folder for the CA keys and principals files' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand doctor" -l state -d 'Folder for what an enrolled host remembers' -r -F
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand doctor" -l offline -d 'Look at this host only, do not ask the CA'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand doctor" -l json -d 'Print one line of JSON instead of text'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand completions" -l json -d 'Print one line of JSON instead of text'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand completions" -s h -l help -d 'Print help'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand man" -l json -d 'Print one line of JSON instead of text'
complete -c jit-ssh-host -n "__fish_jit_ssh_host_using_subcommand man" -s h -l help -d 'Print help'
