"""Send a mail: smtplib speaks SMTP, email writes the message.    python3 mail_send.py [TO [FROM [HOST]]]"""

import smtplib
import ssl
import sys
from email.message import EmailMessage

to = sys.argv[1] if len(sys.argv) > 1 else "bob@lab.test"
sender = sys.argv[2] if len(sys.argv) > 2 else "alice@lab.test"
host = sys.argv[3] if len(sys.argv) > 3 else "smtp-relay"

message = EmailMessage()
message["From"] = sender
message["To"] = to
message["Subject"] = "A first mail"
message.set_content("Hello,\n\nthis was written by email.message and sent by smtplib.\n")

try:
    with smtplib.SMTP(host, 25, timeout=30) as server:
        server.starttls(context=ssl.create_default_context())  # checks the certificate and the name in it
        # The headers above are the letter; what the server goes by is the envelope. send_message copies one from the other.
        server.send_message(message)
except (smtplib.SMTPException, OSError) as error:
    print("Error: unable to send email")
    print(error)
    sys.exit(1)
print("Successfully sent email")
