# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_jit_ssh_ca_global_optspecs
    string join \n data= json h/help V/version
end

function __fish_jit_ssh_ca_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_jit_ssh_ca_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_jit_ssh_ca_using_subcommand
    set -l cmd (__fish_jit_ssh_ca_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_needs_command" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_needs_command" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_needs_command" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_needs_command" -f -a "setup" -d 'Set up a CA on this machine and start it: data folder, systemd unit, next steps to paste'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_needs_command" -f -a "init" -d 'Make the data folder of a new CA: keys, configuration, policy'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_needs_command" -f -a "serve" -d 'Serve the CA'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_needs_command" -f -a "policy" -d 'Check, test and explain the policy'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_needs_command" -f -a "login" -d 'List logins, or end one for good'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_needs_command" -f -a "logins" -d 'List logins, or end one for good'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_needs_command" -f -a "revoke" -d 'Take access away: of a person, a login, a certificate, a role, a host or a key'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_needs_command" -f -a "unlock" -d 'Let a person sign in again, or a role be given again'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_needs_command" -f -a "lock" -d 'Show who and what gets no certificates'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_needs_command" -f -a "locks" -d 'Show who and what gets no certificates'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_needs_command" -f -a "offboard" -d 'End everything of a person in one go'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_needs_command" -f -a "host" -d 'Invite, list, label and revoke the servers that enrol themselves'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_needs_command" -f -a "hosts" -d 'Invite, list, label and revoke the servers that enrol themselves'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_needs_command" -f -a "audit" -d 'Read the ledger: who got which certificate, who was refused and why'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_needs_command" -f -a "key" -d 'Show the keys of the CA and the fingerprint that clients and hosts pin'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_needs_command" -f -a "keys" -d 'Show the keys of the CA and the fingerprint that clients and hosts pin'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_needs_command" -f -a "backup" -d 'Back up everything into one file, while the CA serves'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_needs_command" -f -a "restore" -d 'Make a data folder from a backup; starts a new epoch'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_needs_command" -f -a "doctor" -d 'Look for what is wrong, with the mend for each'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_needs_command" -f -a "completions" -d 'Print the completions for a shell'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_needs_command" -f -a "man" -d 'Write the man pages into a folder'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand setup" -l url -d 'Where clients and hosts reach the CA: https://ca.example.com' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand setup" -l issuer -d 'Issuer of your identity provider, exactly as its tokens name it' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand setup" -l client-id -d 'Client id registered there for jit-ssh' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand setup" -l client-secret -d 'The public "secret" of that client, where the provider insists on one (Google)' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand setup" -l preset -d 'Kind of provider, where its address does not tell: okta, entra, google, keycloak, generic' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand setup" -l groups-claim -d 'Claim with the groups, by name or path, where it is not the preset\'s' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand setup" -l require -d 'Claim that every token must have with this value; for Google: hd=example.com' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand setup" -l redirect-port -d 'Port registered for the loopback redirect, where the provider compares it' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand setup" -l scope -d 'Scopes to ask the provider for [default: the preset\'s; `setup` adds `groups` where the provider offers it]' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand setup" -l issuer-ca -d 'PEM file with the CA of the provider\'s TLS certificate, if it is your own' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand setup" -l grant -d 'Who gets what: members of GROUP get ROLE, which opens these Unix accounts; for Google, write a person\'s address for GROUP' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand setup" -l admins -d 'Group whose members may read the ledger, end logins and ask about the policy' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand setup" -l hosts -d 'Hosts where plain `ssh` gets a certificate: \'*.prod.example.com\'' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand setup" -l tls -d 'TLS: `self` makes a certificate that the fingerprint vouches for, `files` takes yours, `none` listens on loopback for a proxy' -r -f -a "self\t'A certificate of its own'
files\t'Files that the operator has'
none\t'None'"
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand setup" -l tls-certificate -d 'Certificate chain for `--tls files`' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand setup" -l tls-key -d 'Private key for `--tls files`' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand setup" -l listen -d 'Address and port to listen on [default: all addresses, the port of --url]' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand setup" -l name -d 'Name of the CA in proofs and key sets [default: the host of --url]' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand setup" -l profile -d 'Keys of the CA: `standard` (Ed25519) or `fips` (ECDSA P-256)' -r -f -a "standard\t''
fips\t''"
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand setup" -l identity-key -d 'Public half of an identity key that is kept elsewhere; it then signs the key set with ssh-keygen before the CA can serve' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand setup" -l passphrase-file -d 'File with the passphrase of the keys; made with a random one if it is not there [default: /etc/jit-ssh-ca/passphrase, or DATA.passphrase when not root]' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand setup" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand setup" -l paste-page -d 'The provider lets this client redirect to URL/sign-in too: the page for `--no-browser`'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand setup" -l no-start -d 'Make everything, start nothing'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand setup" -l no-systemd -d 'Make no systemd unit and no user of its own; say how to start the CA by hand'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand setup" -l skip-issuer-check -d 'Do not ask the identity provider'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand setup" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand setup" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand setup" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand init" -l url -d 'Where clients and hosts reach the CA: https://ca.example.com' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand init" -l issuer -d 'Issuer of your identity provider, exactly as its tokens name it' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand init" -l client-id -d 'Client id registered there for jit-ssh' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand init" -l client-secret -d 'The public "secret" of that client, where the provider insists on one (Google)' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand init" -l preset -d 'Kind of provider, where its address does not tell: okta, entra, google, keycloak, generic' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand init" -l groups-claim -d 'Claim with the groups, by name or path, where it is not the preset\'s' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand init" -l require -d 'Claim that every token must have with this value; for Google: hd=example.com' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand init" -l redirect-port -d 'Port registered for the loopback redirect, where the provider compares it' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand init" -l scope -d 'Scopes to ask the provider for [default: the preset\'s; `setup` adds `groups` where the provider offers it]' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand init" -l issuer-ca -d 'PEM file with the CA of the provider\'s TLS certificate, if it is your own' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand init" -l grant -d 'Who gets what: members of GROUP get ROLE, which opens these Unix accounts; for Google, write a person\'s address for GROUP' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand init" -l admins -d 'Group whose members may read the ledger, end logins and ask about the policy' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand init" -l hosts -d 'Hosts where plain `ssh` gets a certificate: \'*.prod.example.com\'' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand init" -l tls -d 'TLS: `self` makes a certificate that the fingerprint vouches for, `files` takes yours, `none` listens on loopback for a proxy' -r -f -a "self\t'A certificate of its own'
files\t'Files that the operator has'
none\t'None'"
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand init" -l tls-certificate -d 'Certificate chain for `--tls files`' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand init" -l tls-key -d 'Private key for `--tls files`' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand init" -l listen -d 'Address and port to listen on [default: all addresses, the port of --url]' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand init" -l name -d 'Name of the CA in proofs and key sets [default: the host of --url]' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand init" -l profile -d 'Keys of the CA: `standard` (Ed25519) or `fips` (ECDSA P-256)' -r -f -a "standard\t''
fips\t''"
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand init" -l identity-key -d 'Public half of an identity key that is kept elsewhere; it then signs the key set with ssh-keygen before the CA can serve' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand init" -l passphrase-file -d 'File with the passphrase of the keys. Else the systemd credential `passphrase`, else JIT_SSH_CA_PASSPHRASE, else you are asked' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand init" -l generate-passphrase -d 'Make a random passphrase for the keys and put it into this new file' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand init" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand init" -l paste-page -d 'The provider lets this client redirect to URL/sign-in too: the page for `--no-browser`'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand init" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand init" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand serve" -l listen -d 'Listen here instead of where the configuration says; port 0 takes a free one' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand serve" -l passphrase-file -d 'File with the passphrase of the keys. Else the systemd credential `passphrase`, else JIT_SSH_CA_PASSPHRASE, else you are asked' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand serve" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand serve" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand serve" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand serve" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand policy; and not __fish_seen_subcommand_from check test explain show" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand policy; and not __fish_seen_subcommand_from check test explain show" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand policy; and not __fish_seen_subcommand_from check test explain show" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand policy; and not __fish_seen_subcommand_from check test explain show" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand policy; and not __fish_seen_subcommand_from check test explain show" -f -a "check" -d 'Check a policy file: every fault with its line, and its own tests'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand policy; and not __fish_seen_subcommand_from check test explain show" -f -a "test" -d 'Run the tests of a policy file'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand policy; and not __fish_seen_subcommand_from check test explain show" -f -a "explain" -d 'Say what somebody may have, and what stands against the rest'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand policy; and not __fish_seen_subcommand_from check test explain show" -f -a "show" -d 'Print the policy that is in force'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand policy; and __fish_seen_subcommand_from check" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand policy; and __fish_seen_subcommand_from check" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand policy; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand policy; and __fish_seen_subcommand_from check" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand policy; and __fish_seen_subcommand_from test" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand policy; and __fish_seen_subcommand_from test" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand policy; and __fish_seen_subcommand_from test" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand policy; and __fish_seen_subcommand_from test" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand policy; and __fish_seen_subcommand_from explain" -l group -d 'A group of that person; may stand there several times' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand policy; and __fish_seen_subcommand_from explain" -l email -d 'Verified e-mail address' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand policy; and __fish_seen_subcommand_from explain" -l subject -d 'Subject at the issuer' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand policy; and __fish_seen_subcommand_from explain" -l claim -d 'A further claim; the value may be JSON' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand policy; and __fish_seen_subcommand_from explain" -l issuer -d 'Issuer; needed where there are several' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand policy; and __fish_seen_subcommand_from explain" -l ca -d 'Ask this CA over HTTPS with your own login (`jit-ssh login`) instead of the local socket; the policy must give you the right' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand policy; and __fish_seen_subcommand_from explain" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand policy; and __fish_seen_subcommand_from explain" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand policy; and __fish_seen_subcommand_from explain" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand policy; and __fish_seen_subcommand_from explain" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand policy; and __fish_seen_subcommand_from show" -l ca -d 'Ask this CA over HTTPS with your own login (`jit-ssh login`) instead of the local socket; the policy must give you the right' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand policy; and __fish_seen_subcommand_from show" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand policy; and __fish_seen_subcommand_from show" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand policy; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand policy; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand login; and not __fish_seen_subcommand_from list end free-name" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand login; and not __fish_seen_subcommand_from list end free-name" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand login; and not __fish_seen_subcommand_from list end free-name" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand login; and not __fish_seen_subcommand_from list end free-name" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand login; and not __fish_seen_subcommand_from list end free-name" -f -a "list" -d 'List who is signed in'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand login; and not __fish_seen_subcommand_from list end free-name" -f -a "end" -d 'End a login for good: its certificates are revoked, and its key gets none any more'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand login; and not __fish_seen_subcommand_from list end free-name" -f -a "free-name" -d 'Free an e-mail address or username: the next account that comes with it has it'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand login; and __fish_seen_subcommand_from list" -l user -d 'Only this person: e-mail address, subject or username' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand login; and __fish_seen_subcommand_from list" -l ca -d 'Ask this CA over HTTPS with your own login (`jit-ssh login`) instead of the local socket; the policy must give you the right' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand login; and __fish_seen_subcommand_from list" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand login; and __fish_seen_subcommand_from list" -l all -d 'Ended logins too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand login; and __fish_seen_subcommand_from list" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand login; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand login; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand login; and __fish_seen_subcommand_from end" -l user -d 'Every login of this person: e-mail address, subject or username' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand login; and __fish_seen_subcommand_from end" -l ca -d 'Ask this CA over HTTPS with your own login (`jit-ssh login`) instead of the local socket; the policy must give you the right' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand login; and __fish_seen_subcommand_from end" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand login; and __fish_seen_subcommand_from end" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand login; and __fish_seen_subcommand_from end" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand login; and __fish_seen_subcommand_from end" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand login; and __fish_seen_subcommand_from free-name" -l issuer -d 'The provider\'s issuer identifier' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand login; and __fish_seen_subcommand_from free-name" -l email -d 'The e-mail address to free' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand login; and __fish_seen_subcommand_from free-name" -l username -d 'The username to free' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand login; and __fish_seen_subcommand_from free-name" -l ca -d 'Ask this CA over HTTPS with your own login (`jit-ssh login`) instead of the local socket; the policy must give you the right' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand login; and __fish_seen_subcommand_from free-name" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand login; and __fish_seen_subcommand_from free-name" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand login; and __fish_seen_subcommand_from free-name" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand login; and __fish_seen_subcommand_from free-name" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand logins; and not __fish_seen_subcommand_from list end free-name" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand logins; and not __fish_seen_subcommand_from list end free-name" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand logins; and not __fish_seen_subcommand_from list end free-name" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand logins; and not __fish_seen_subcommand_from list end free-name" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand logins; and not __fish_seen_subcommand_from list end free-name" -f -a "list" -d 'List who is signed in'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand logins; and not __fish_seen_subcommand_from list end free-name" -f -a "end" -d 'End a login for good: its certificates are revoked, and its key gets none any more'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand logins; and not __fish_seen_subcommand_from list end free-name" -f -a "free-name" -d 'Free an e-mail address or username: the next account that comes with it has it'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand logins; and __fish_seen_subcommand_from list" -l user -d 'Only this person: e-mail address, subject or username' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand logins; and __fish_seen_subcommand_from list" -l ca -d 'Ask this CA over HTTPS with your own login (`jit-ssh login`) instead of the local socket; the policy must give you the right' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand logins; and __fish_seen_subcommand_from list" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand logins; and __fish_seen_subcommand_from list" -l all -d 'Ended logins too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand logins; and __fish_seen_subcommand_from list" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand logins; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand logins; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand logins; and __fish_seen_subcommand_from end" -l user -d 'Every login of this person: e-mail address, subject or username' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand logins; and __fish_seen_subcommand_from end" -l ca -d 'Ask this CA over HTTPS with your own login (`jit-ssh login`) instead of the local socket; the policy must give you the right' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand logins; and __fish_seen_subcommand_from end" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand logins; and __fish_seen_subcommand_from end" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand logins; and __fish_seen_subcommand_from end" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand logins; and __fish_seen_subcommand_from end" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand logins; and __fish_seen_subcommand_from free-name" -l issuer -d 'The provider\'s issuer identifier' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand logins; and __fish_seen_subcommand_from free-name" -l email -d 'The e-mail address to free' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand logins; and __fish_seen_subcommand_from free-name" -l username -d 'The username to free' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand logins; and __fish_seen_subcommand_from free-name" -l ca -d 'Ask this CA over HTTPS with your own login (`jit-ssh login`) instead of the local socket; the policy must give you the right' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand logins; and __fish_seen_subcommand_from free-name" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand logins; and __fish_seen_subcommand_from free-name" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand logins; and __fish_seen_subcommand_from free-name" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand logins; and __fish_seen_subcommand_from free-name" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand revoke" -l user -d 'Everything of a person, who is locked: e-mail address, subject or username' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand revoke" -l login -d 'A login and its certificates; the person may sign in again' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand revoke" -l serial -d 'One certificate' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand revoke" -l role -d 'All certificates of a role, which is locked' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand revoke" -l host -d 'A host, by name or identifier: its certificates, and what it may ask for' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand revoke" -l key -d 'A public key, for ever, also one that the CA never saw' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand revoke" -l reason -d 'Why: stays in the ledger' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand revoke" -l wait -d 'Wait at most so long for hosts to confirm (`s`, `m`); 0s: not at all' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand revoke" -l ca -d 'Ask this CA over HTTPS with your own login (`jit-ssh login`) instead of the local socket; the policy must give you the right' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand revoke" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand revoke" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand revoke" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand revoke" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand unlock" -l user -d 'A person: e-mail address, subject, username, or PERSON of `lock list`' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand unlock" -l role -d 'A role' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand unlock" -l reason -d 'Why: stays in the ledger' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand unlock" -l ca -d 'Ask this CA over HTTPS with your own login (`jit-ssh login`) instead of the local socket; the policy must give you the right' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand unlock" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand unlock" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand unlock" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand unlock" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand lock; and not __fish_seen_subcommand_from list" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand lock; and not __fish_seen_subcommand_from list" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand lock; and not __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand lock; and not __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand lock; and not __fish_seen_subcommand_from list" -f -a "list" -d 'List who and what gets no certificates, and why'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand lock; and __fish_seen_subcommand_from list" -l ca -d 'Ask this CA over HTTPS with your own login (`jit-ssh login`) instead of the local socket; the policy must give you the right' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand lock; and __fish_seen_subcommand_from list" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand lock; and __fish_seen_subcommand_from list" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand lock; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand lock; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand locks; and not __fish_seen_subcommand_from list" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand locks; and not __fish_seen_subcommand_from list" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand locks; and not __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand locks; and not __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand locks; and not __fish_seen_subcommand_from list" -f -a "list" -d 'List who and what gets no certificates, and why'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand locks; and __fish_seen_subcommand_from list" -l ca -d 'Ask this CA over HTTPS with your own login (`jit-ssh login`) instead of the local socket; the policy must give you the right' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand locks; and __fish_seen_subcommand_from list" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand locks; and __fish_seen_subcommand_from list" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand locks; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand locks; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand offboard" -l reason -d 'Why: stays in the ledger' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand offboard" -l wait -d 'Wait at most so long for hosts to confirm (`s`, `m`); 0s: not at all' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand offboard" -l ca -d 'Ask this CA over HTTPS with your own login (`jit-ssh login`) instead of the local socket; the policy must give you the right' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand offboard" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand offboard" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand offboard" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand offboard" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and not __fish_seen_subcommand_from invite invitations withdraw list show label revoke" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and not __fish_seen_subcommand_from invite invitations withdraw list show label revoke" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and not __fish_seen_subcommand_from invite invitations withdraw list show label revoke" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and not __fish_seen_subcommand_from invite invitations withdraw list show label revoke" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and not __fish_seen_subcommand_from invite invitations withdraw list show label revoke" -f -a "invite" -d 'Invite hosts: prints a token, once, with which a server joins by itself'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and not __fish_seen_subcommand_from invite invitations withdraw list show label revoke" -f -a "invitations" -d 'List invitations that still count'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and not __fish_seen_subcommand_from invite invitations withdraw list show label revoke" -f -a "withdraw" -d 'Withdraw an invitation: it counts no more'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and not __fish_seen_subcommand_from invite invitations withdraw list show label revoke" -f -a "list" -d 'List the hosts, with what each holds and how it is'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and not __fish_seen_subcommand_from invite invitations withdraw list show label revoke" -f -a "show" -d 'Show one host'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and not __fish_seen_subcommand_from invite invitations withdraw list show label revoke" -f -a "label" -d 'Change a host\'s labels, which decide what roles open there'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and not __fish_seen_subcommand_from invite invitations withdraw list show label revoke" -f -a "revoke" -d 'Revoke a host: it gets nothing more, and its names and keys are free'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from invite" -l name -d 'Name that a host may have, exact or with `*` before a domain: `web-*.prod.example.com`; repeat it for more' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from invite" -l label -d 'Label that such a host gets; repeat it for more' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from invite" -l uses -d 'How many hosts may come with it: a number, or `any`' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from invite" -l from -d 'Network that it counts from; repeat it for more; without it, from anywhere' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from invite" -l for -d 'How long it counts' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from invite" -l ca -d 'Ask this CA over HTTPS with your own login (`jit-ssh login`) instead of the local socket; the policy must give you the right' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from invite" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from invite" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from invite" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from invite" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from invitations" -l ca -d 'Ask this CA over HTTPS with your own login (`jit-ssh login`) instead of the local socket; the policy must give you the right' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from invitations" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from invitations" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from invitations" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from invitations" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from withdraw" -l ca -d 'Ask this CA over HTTPS with your own login (`jit-ssh login`) instead of the local socket; the policy must give you the right' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from withdraw" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from withdraw" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from withdraw" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from withdraw" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from list" -l label -d 'Only hosts with this label; repeat it for more' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from list" -l ca -d 'Ask this CA over HTTPS with your own login (`jit-ssh login`) instead of the local socket; the policy must give you the right' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from list" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from list" -l all -d 'Revoked hosts too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from list" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from show" -l ca -d 'Ask this CA over HTTPS with your own login (`jit-ssh login`) instead of the local socket; the policy must give you the right' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from show" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from show" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from label" -l remove -d 'Label to take away; repeat it for more' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from label" -l ca -d 'Ask this CA over HTTPS with your own login (`jit-ssh login`) instead of the local socket; the policy must give you the right' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from label" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from label" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from label" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from label" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from revoke" -l ca -d 'Ask this CA over HTTPS with your own login (`jit-ssh login`) instead of the local socket; the policy must give you the right' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from revoke" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from revoke" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand host; and __fish_seen_subcommand_from revoke" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and not __fish_seen_subcommand_from invite invitations withdraw list show label revoke" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and not __fish_seen_subcommand_from invite invitations withdraw list show label revoke" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and not __fish_seen_subcommand_from invite invitations withdraw list show label revoke" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and not __fish_seen_subcommand_from invite invitations withdraw list show label revoke" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and not __fish_seen_subcommand_from invite invitations withdraw list show label revoke" -f -a "invite" -d 'Invite hosts: prints a token, once, with which a server joins by itself'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and not __fish_seen_subcommand_from invite invitations withdraw list show label revoke" -f -a "invitations" -d 'List invitations that still count'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and not __fish_seen_subcommand_from invite invitations withdraw list show label revoke" -f -a "withdraw" -d 'Withdraw an invitation: it counts no more'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and not __fish_seen_subcommand_from invite invitations withdraw list show label revoke" -f -a "list" -d 'List the hosts, with what each holds and how it is'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and not __fish_seen_subcommand_from invite invitations withdraw list show label revoke" -f -a "show" -d 'Show one host'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and not __fish_seen_subcommand_from invite invitations withdraw list show label revoke" -f -a "label" -d 'Change a host\'s labels, which decide what roles open there'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and not __fish_seen_subcommand_from invite invitations withdraw list show label revoke" -f -a "revoke" -d 'Revoke a host: it gets nothing more, and its names and keys are free'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from invite" -l name -d 'Name that a host may have, exact or with `*` before a domain: `web-*.prod.example.com`; repeat it for more' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from invite" -l label -d 'Label that such a host gets; repeat it for more' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from invite" -l uses -d 'How many hosts may come with it: a number, or `any`' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from invite" -l from -d 'Network that it counts from; repeat it for more; without it, from anywhere' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from invite" -l for -d 'How long it counts' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from invite" -l ca -d 'Ask this CA over HTTPS with your own login (`jit-ssh login`) instead of the local socket; the policy must give you the right' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from invite" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from invite" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from invite" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from invite" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from invitations" -l ca -d 'Ask this CA over HTTPS with your own login (`jit-ssh login`) instead of the local socket; the policy must give you the right' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from invitations" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from invitations" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from invitations" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from invitations" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from withdraw" -l ca -d 'Ask this CA over HTTPS with your own login (`jit-ssh login`) instead of the local socket; the policy must give you the right' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from withdraw" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from withdraw" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from withdraw" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from withdraw" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from list" -l label -d 'Only hosts with this label; repeat it for more' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from list" -l ca -d 'Ask this CA over HTTPS with your own login (`jit-ssh login`) instead of the local socket; the policy must give you the right' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from list" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from list" -l all -d 'Revoked hosts too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from list" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from show" -l ca -d 'Ask this CA over HTTPS with your own login (`jit-ssh login`) instead of the local socket; the policy must give you the right' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from show" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from show" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from label" -l remove -d 'Label to take away; repeat it for more' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from label" -l ca -d 'Ask this CA over HTTPS with your own login (`jit-ssh login`) instead of the local socket; the policy must give you the right' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from label" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from label" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from label" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from label" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from revoke" -l ca -d 'Ask this CA over HTTPS with your own login (`jit-ssh login`) instead of the local socket; the policy must give you the right' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from revoke" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from revoke" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand hosts; and __fish_seen_subcommand_from revoke" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand audit; and not __fish_seen_subcommand_from list" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand audit; and not __fish_seen_subcommand_from list" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand audit; and not __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand audit; and not __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand audit; and not __fish_seen_subcommand_from list" -f -a "list" -d 'List records, newest first: certificates, refusals, logins, admin commands'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand audit; and __fish_seen_subcommand_from list" -l kind -d 'Only records of this kind' -r -f -a "certificate\t''
signing-failed\t''
login-opened\t''
login-refreshed\t''
login-ended\t''
refused\t''
refused-summary\t''
revoked\t''
unlocked\t''
admin\t''
policy\t''
key-set\t''
host-invited\t''
host-enrolled\t''
host-certificate\t''
host-labels\t''
host-revoked\t''
host-clone\t''
epoch\t''"
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand audit; and __fish_seen_subcommand_from list" -l user -d 'Only about this person: e-mail address, subject or username' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand audit; and __fish_seen_subcommand_from list" -l role -d 'Only about this role' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand audit; and __fish_seen_subcommand_from list" -l login -d 'Only of this login' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand audit; and __fish_seen_subcommand_from list" -l serial -d 'Only the certificate with this serial' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand audit; and __fish_seen_subcommand_from list" -l since -d 'Not before: `2h` ago (s, m, h, d, w), `2026-11-23`, `2026-11-23T22:59Z` (UTC)' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand audit; and __fish_seen_subcommand_from list" -l until -d 'Before: as --since' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand audit; and __fish_seen_subcommand_from list" -l limit -d 'Show at most this many; 0: all' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand audit; and __fish_seen_subcommand_from list" -l ca -d 'Ask this CA over HTTPS with your own login (`jit-ssh login`) instead of the local socket; the policy must give you the right' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand audit; and __fish_seen_subcommand_from list" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand audit; and __fish_seen_subcommand_from list" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand audit; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand audit; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand key; and not __fish_seen_subcommand_from list" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand key; and not __fish_seen_subcommand_from list" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand key; and not __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand key; and not __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand key; and not __fish_seen_subcommand_from list" -f -a "list" -d 'List the keys, and the fingerprint that clients and hosts pin'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand key; and __fish_seen_subcommand_from list" -l ca -d 'Ask this CA over HTTPS with your own login (`jit-ssh login`) instead of the local socket; the policy must give you the right' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand key; and __fish_seen_subcommand_from list" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand key; and __fish_seen_subcommand_from list" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand key; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand key; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand keys; and not __fish_seen_subcommand_from list" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand keys; and not __fish_seen_subcommand_from list" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand keys; and not __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand keys; and not __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand keys; and not __fish_seen_subcommand_from list" -f -a "list" -d 'List the keys, and the fingerprint that clients and hosts pin'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand keys; and __fish_seen_subcommand_from list" -l ca -d 'Ask this CA over HTTPS with your own login (`jit-ssh login`) instead of the local socket; the policy must give you the right' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand keys; and __fish_seen_subcommand_from list" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand keys; and __fish_seen_subcommand_from list" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand keys; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand keys; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand backup" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand backup" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand backup" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand backup" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand restore" -l epoch -d 'Number of the new epoch, later than the backup\'s and than any that clients have seen [default: the time, in milliseconds since 1970, so that no two restores have the same]' -r
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand restore" -l passphrase-file -d 'File with the passphrase of the keys. Else the systemd credential `passphrase`, else JIT_SSH_CA_PASSPHRASE, else you are asked' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand restore" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand restore" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand restore" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand restore" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand doctor" -l passphrase-file -d 'File with the passphrase of the keys. Else the systemd credential `passphrase`, else JIT_SSH_CA_PASSPHRASE, else you are asked' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand doctor" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand doctor" -l offline -d 'Do not call the identity providers'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand doctor" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand doctor" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand completions" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand completions" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand completions" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand completions" -s V -l version -d 'Print version'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand man" -l data -d 'Data folder of the CA: keys, ledger, configuration and policy' -r -F
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand man" -l json -d 'Print one line of JSON instead of text, failures too'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand man" -s h -l help -d 'Print help'
complete -c jit-ssh-ca -n "__fish_jit_ssh_ca_using_subcommand man" -s V -l version -d 'Print version'
