"""Read a mailbox by POP3: poplib speaks it, email reads the messages.    python3 mail_pop.py [USER [HOST]]"""

import email
import email.policy
import getpass
import json
import poplib
import ssl
import sys

user = sys.argv[1] if len(sys.argv) > 1 else "bob@lab.test"
host = sys.argv[2] if len(sys.argv) > 2 else "mail-server"

try:
    with open("/handouts/mail.json") as handout:  # the lab made the passwords, and hands them out here
        password = json.load(handout)[user]
except (OSError, KeyError):
    password = getpass.getpass()

mailbox = poplib.POP3(host, 110, timeout=30)
mailbox.stls(ssl.create_default_context())  # from here on nobody on the wire can read along
mailbox.user(user)
mailbox.pass_(password)
count, size = mailbox.stat()
print(count, "messages,", size, "octets")
for number in range(1, count + 1):  # POP3 counts from 1, anew in each session
    reply, lines, size = mailbox.retr(number)
    message = email.message_from_bytes(b"\r\n".join(lines), policy=email.policy.default)
    text = message.get_body(preferencelist=("plain",))
    print("-" * 40)
    print("From:", message["From"])
    print("Subject:", message["Subject"])
    print()
    print("(no plain text in it)" if text is None else text.get_content())
    # mailbox.dele(number) would delete it, once quit() has been said
mailbox.quit()
