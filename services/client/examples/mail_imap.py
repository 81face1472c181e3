"""Read a mailbox by IMAP4: the messages stay on the server, and so does what was read.    python3 mail_imap.py [USER [HOST]]"""

import email
import email.policy
import getpass
import imaplib
import json
import ssl
import sys

user = sys.argv[1] if len(sys.argv) > 1 else "bob@lab.test"
host = sys.argv[2] if len(sys.argv) > 2 else "mail-server"

try:
    with open("/handouts/mail.json") as handout:  # the lab made the passwords, and hands them out here
        password = json.load(handout)[user]
except (OSError, KeyError):
    password = getpass.getpass()

with imaplib.IMAP4(host, 143, timeout=30) as mailbox:
    mailbox.starttls(ssl.create_default_context())  # from here on nobody on the wire can read along
    mailbox.login(user, password)
    mailbox.select("INBOX")
    _, [found] = mailbox.uid("SEARCH", "UNSEEN")  # UIDs, which stay; message numbers change when one is deleted
    uids = found.split()
    print(len(uids), "new messages")
    for uid in uids:
        _, data = mailbox.uid("FETCH", uid, "(BODY[])")  # marks it as read; BODY.PEEK[] would not
        message = email.message_from_bytes(data[0][1], policy=email.policy.default)
        text = message.get_body(preferencelist=("plain",))
        print("-" * 40)
        print("From:", message["From"])
        print("Subject:", message["Subject"])
        print()
        print("(no plain text in it)" if text is None else text.get_content())
