# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# first_tab.zsh FOLDER: in a new zsh, which has FOLDER's completions, Tab is pressed once, and xdptrace's `schema` is what it gives.
zmodload zsh/zpty
zpty -b shell 'zsh -f -i'
zpty -w shell "fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -D; print re''ady"
zpty -r -m shell said '*ready*'
zpty -n -w shell $'xdptrace sche\t'
zpty -r -m shell said '*xdptrace schema*'
zpty -d shell
